"""From activity to energy: public measurements, a user's reading, a script for Vivado."""
