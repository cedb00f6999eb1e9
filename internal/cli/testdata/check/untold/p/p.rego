# METADATA
# title: What breaks the contract
package eksguard.untold

# METADATA
# title: Something
# custom: {id: Something}
deny contains "x" if http.send({})

public := 1
