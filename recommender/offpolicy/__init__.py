"""Judge policies by logged decisions: arrays in, values with intervals out, or reasons why not."""
