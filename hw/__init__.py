"""The hardware: Amaranth generators. None of it is of use without amaranth: that is said here."""

from sterna.golden.words.packages import packages

with packages():
    import amaranth as _
