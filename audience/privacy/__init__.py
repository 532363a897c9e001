"""Everything that is known of a person: exported on demand, and erased everywhere with proof."""
