"""What is wrong with an installation or a coming run: the checks of the command `doctor`."""
