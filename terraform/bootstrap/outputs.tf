output "state_bucket" {
  description = "For `terraform init -backend-config=bucket=...`."
  value       = aws_s3_bucket.state.bucket
}

output "image_repository" {
  description = "Push the image here, and name it by digest in `image`."
  value       = aws_ecr_repository.image.repository_url
}

output "plan_role_arn" {
  description = "What CI assumes to plan; null without github_repository."
  value       = one(aws_iam_role.plan[*].arn)
}
