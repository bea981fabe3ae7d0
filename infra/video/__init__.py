"""Frames to segments to videos: formats, ffmpeg, checks, contact sheets."""
