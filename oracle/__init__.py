"""Independent references for boltzax: classy (CLASS) and CAMB runs, error measures, and what judges by them.

`python -m oracle report | sweep | gate | ladder` are the commands for users; `python -m oracle.accuracy`,
`oracle.beyond`, `oracle.derivatives`, `oracle.smoothness` and `oracle.make_references` make tables. `oracle.reference`
holds the reference recipe, its cache and the committed tables, `oracle.codes` the codes that are compared,
`oracle.compare` and `oracle.errors` the error measures, `oracle.feeding` and `oracle.pipeline` the stages.
"""
