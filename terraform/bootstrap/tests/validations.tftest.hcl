mock_provider "aws" {
  source = "../tests/mocks"
}

run "no_repository" {
  command = plan

  variables {
    github_repository = null
  }

  assert {
    condition     = output.plan_role_arn == null
    error_message = "Without a repository nobody may plan."
  }
}

run "a_name_that_no_bucket_could_have" {
  command = plan

  variables {
    name = "Warm Line"
  }

  expect_failures = [var.name]
}

run "a_repository_without_an_owner" {
  command = plan

  variables {
    github_repository = "voices"
  }

  expect_failures = [var.github_repository]
}
