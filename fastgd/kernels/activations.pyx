"""Activation functions of networks; see activations.pxd."""
