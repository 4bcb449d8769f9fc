# Copy it to terraform.tfvars and put your own values in.
domain  = "dev.example.com"
zone_id = "Z0123456789EXAMPLE"
image   = "123456789012.dkr.ecr.us-east-1.amazonaws.com/warmline@sha256:0000000000000000000000000000000000000000000000000000000000000000"
