"""Where utterances come from: folders and files of audio, texts spoken by a synthesiser, noise laid over either.

`request.parse` reads what a user wrote, `opening.open_corpus` makes a Corpus of it (yapbench/corpus.py).
"""
