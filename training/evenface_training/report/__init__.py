"""`evenface-train report`: what runs have learned, on one HTML page that needs nothing else.

`reading` takes a run's files, `measuring` what its model does on its data (`groups`, `latents`,
`faces` are parts of that), `charts` turns numbers into lines and bars, `page` writes the HTML.
"""
