"""Statistics of experiments: moments in, estimates out, with no database and no clock."""
