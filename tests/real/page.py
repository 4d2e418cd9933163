KNOWN = {}
def write(*a): pass
