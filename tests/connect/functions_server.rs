//! A stand-in for the server's own `/functions`, for answers that the real one does not give at will.
