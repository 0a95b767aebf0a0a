//! Thousands of calls on real threads, woken, cancelled and dropped from other ones. What comes when is left to the
//! machine; what comes out is not.
