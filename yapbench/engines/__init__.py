"""Where trials run: this machine (`local`). An engine only executes notebooks; a trial knows nothing of it."""
