output "arn" {
  description = "The key."
  # Whoever uses it before the policy allows it is refused.
  value = aws_kms_key.this.arn
}
