"""The gallery: a static page in the output folder, and the data files that it loads.

`build.py` writes it, `cells.py` reads what the folder holds, `data.py` gives it the form the page expects,
`thumbnails.py` makes small pictures that are missing, `summary.py` adds up. `page/` is the page itself, copied as it is.
"""
