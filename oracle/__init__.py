"""Independent references for boltzax: classy (CLASS) and CAMB runs, their committed tables, and error measures.

`oracle.reference` holds the reference recipe and the tables, `oracle.stages` the tables of intermediate stages,
`oracle.compare` the error measures, `oracle.make_references` and `oracle.accuracy` are commands (`python -m`).
"""
