"""How training happens: plain Python values and one loop; no maths of any model."""
