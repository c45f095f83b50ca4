from ._cowshed import NA_INTEGER, open, retrieve, unserialize
from ._factor import Factor
