"""The ways of descending, one file each, all with the same verbs: start, epoch, react, solution."""
