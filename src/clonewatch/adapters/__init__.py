"""Log formats, one file each: bytes to exchanges or rejected lines."""
