"""Judges a pipeline file by a schema on standard input: prints each complaint, the place first, then "sound" or "wrong".

    schema.py PIPELINE
"""

import json
import sys

import jsonschema
import yaml

schema = json.load(sys.stdin)
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
with open(sys.argv[1]) as file:
    complaints = list(validator(schema).iter_errors(yaml.safe_load(file)))
for complaint in complaints:
    print("/".join(str(step) for step in complaint.absolute_path) + ": " + complaint.message)
print("wrong" if complaints else "sound")
