PROOFS = []
