"""What tests share: real servers, models, jobs and browsers of their own."""
