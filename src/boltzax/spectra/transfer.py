def transfer(*a):
    pass
