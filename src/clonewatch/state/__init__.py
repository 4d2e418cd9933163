"""What is kept between days: staged exchanges by day, in immutable Parquet parts listed by one versioned manifest."""
