"""What resampling does to accuracy, group by group."""
