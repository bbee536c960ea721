"""May the challenger take more traffic? A pure core and a sequential judge, and a controller behind ports."""
