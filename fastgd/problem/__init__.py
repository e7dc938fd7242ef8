"""Problems: losses, objectives, data, and bounds of their minima."""
