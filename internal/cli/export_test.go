package cli

// NewRoot gives the command tree to tests.
var NewRoot = newRoot
