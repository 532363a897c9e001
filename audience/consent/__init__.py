"""What people agree to: asked for, confirmed, taken back, and asked before anything is sent."""
