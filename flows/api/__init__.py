"""What `import nightreel` offers (nightreel.py at the top names it): rendering in Python, without a server."""
