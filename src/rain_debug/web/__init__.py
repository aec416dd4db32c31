"""The page's server: who may come in, what is answered where, and how it is started."""
