"""The tables of the documents, made from the code; a module a topic."""
