"""The command line: it parses, shows and exits; the work is done by the callable twins."""
