"""Five deployable speech servers and `echo`. Nothing here imports `yapbench`."""
