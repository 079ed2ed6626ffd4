"""Amazon S3, AWS KMS and a data key service on 127.0.0.1, in one process, for the tests and the demo.

Moto answers the requests; this package adds what moto leaves out and what tests need:
the checks in `kms_rules` and `s3_rules`, faults on demand (`faults`) and a control
API (`control`). README.md beside this package documents all of it.
"""
