"""What is kept between days: staged exchanges by day, in immutable Parquet parts under one versioned manifest."""
