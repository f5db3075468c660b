"""The model: slots, Mimi, the language model, and how they are loaded. The only code here that needs PyTorch."""
