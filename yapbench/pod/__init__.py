"""One server on a machine that was empty a minute ago: looked at, installed, started, warmed up, its address said."""
