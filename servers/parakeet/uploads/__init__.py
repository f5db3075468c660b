"""An upload, read as it arrives: its form, its fields, and what is refused before its end."""
