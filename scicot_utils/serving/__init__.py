"""Ask language models for texts: each answer is stored before it is used, nothing is paid for twice, and caps hold.

It stands beside the study and knows nothing of it: requests are dictionaries, answers are text. Layers: replies (text as
servers send it) and the cache, then the protocol, then the caps and the client of servers, then sending and batch files.
"""
