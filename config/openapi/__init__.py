"""What the hot paths take and answer, as an OpenAPI document made of the code's own types."""
