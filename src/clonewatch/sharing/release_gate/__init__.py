"""What may leave: an allow-list of fields with a reason each, three profiles, and the dated status of the law."""
