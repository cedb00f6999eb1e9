# METADATA
# title: Container images
# description: The parts of an image's reference, <repository>[:<tag>][@<digest>].
package eksguard.lib.image

# METADATA
# description: |
#   The repository with its registry, the tag and the digest of a reference; tag and digest are "" where it has none.
#   Undefined for what is no string.
parse(reference) := {"repository": repository, "tag": tag, "digest": digest} if {
	is_string(reference)
	pattern := `(?s)\A([^@]*?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]*))?(?:@(.*))?\z`
	[[_, repository, tag, digest]] := regex.find_all_string_submatch_n(pattern, reference, 1)
}
