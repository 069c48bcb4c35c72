"""What a design's nets do on real images: SAIF files and the activity of its layers."""
