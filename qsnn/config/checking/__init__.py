"""What a config must satisfy beyond the types of its keys, said before anything is built."""
