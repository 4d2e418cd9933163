"""The evaluation house: how well scans do, on logs whose truth is known, and beside other methods."""
